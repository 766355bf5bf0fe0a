"""Five floods at once against one sidecar, and a good caller: python -m tests.image.load SECONDS, in its pod.

Prints how many good responses the caller got, and which requests failed.
"""

from __future__ import annotations

import asyncio
import json
import sys

from tests.floods.good_caller import GoodCaller

WHERE = ("127.0.0.1", 8181)
IDLE, ASKING = "5000", "64"
FLOODS = ("idle", "malformed", "unknown-paths", "unknown-profiles", "foreign-host")
"""Without floods that keep unfinished requests open: these need more than the 64 MiB of the test."""


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
        output, _ = await attacker.communicate()
        requests += json.loads(output).get("requests", 0)
    caller.ends = True
    await asking
    print(json.dumps({"good": len(caller.waits_s), "lost": caller.lost, "requests": requests}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
