"""`make sbom`: writes the bill of materials to the given path."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.sbom.bill import bill


def main() -> None:
    path = Path(sys.argv[1])
    path.parent.mkdir(exist_ok=True)
    path.write_text(bill(), encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
