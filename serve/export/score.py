"""Score memes without PyTorch: see README.md beside this file, or `python score.py --help`.

Works only in an exported folder, where the modules that it needs are in `code`.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    folder = Path(__file__).resolve().parent
    sys.path.insert(0, str(folder / "code"))
    from serve.export.score_memes import main

    sys.exit(main(folder, sys.argv[1:]))
