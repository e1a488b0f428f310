"""What every command needs and no stage owns.

`settings` and `flags` turn dataclasses into flags and config.json. `lock` lets one command at a
time work on a run. Files are written whole or not at all (`atomic_files`, `json_files`,
`array_files`, `safetensors_files`) and carry checksums (`file_checksums`). `console` and `progress`
write to the terminal, `run_steps` prints how far a run has come, `processes` tells which process of
torchrun this is, and `errors` holds the messages that end a command.
"""
