"""Five floods at once against one sidecar, and a good caller: python -m tests.image.load SECONDS, in its pod.

Prints how many good answers the caller got, and what it lost.
"""

from __future__ import annotations

import asyncio
import json
import sys

from tests.floods.good_caller import GoodCaller

WHERE = ("127.0.0.1", 8181)
IDLE, ASKING = "5000", "64"
FLOODS = ("idle", "malformed", "unknown", "nobody", "strange")
"""Not those that hold connections in the midst of a request: they need more than the 64 MiB that are tried here."""


async def main(seconds: int) -> None:
    where = [WHERE[0], str(WHERE[1]), str(seconds)]
    attackers = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.floods.attacker", kind, *where, IDLE if kind == "idle" else ASKING, "0"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
        )
        for kind in FLOODS
    ]
    caller = GoodCaller(*WHERE)
    asking = asyncio.create_task(caller.ask())
    requests = 0
    for attacker in attackers:
        said, _ = await attacker.communicate()
        requests += json.loads(said).get("requests", 0)
    caller.ends = True
    await asking
    print(json.dumps({"good": len(caller.waits_s), "lost": caller.lost, "requests": requests}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
