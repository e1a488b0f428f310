"""Print a Parquet file as JSON lines, in a process of its own: damaged files can crash the parser.

python parquet_as_json.py FILE
"""

import sys


def main() -> None:
    """Print each row. The last line of stderr says why a file cannot be read."""
    import polars

    try:
        frame = polars.read_parquet(sys.argv[1])
        binary = [name for name, kind in frame.schema.items() if "Binary" in str(kind)]
        if binary:
            sys.exit(f"column {binary[0]} holds bytes; allowed are paths of pictures and text")
        frame.write_ndjson(sys.stdout.buffer)
    except (OSError, polars.exceptions.PolarsError) as error:
        sys.exit(" ".join(str(error).split()))


if __name__ == "__main__":
    main()
