"""Read files, and write each one whole or not at all.

`atomic_files` writes files and folders; `json_files`, `array_files` (npy, npz) and
`safetensors_files` read them; `file_checksums` finds damaged ones. Nothing is loaded by pickle.
"""
