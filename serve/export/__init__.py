"""Export a run to a folder that scores memes with ONNX Runtime, without PyTorch.

`checked_export` refuses what cannot be exported. `export_run` writes the folder: `tower_graphs` the
towers, `copied_modules` the modules of memefuse that score. In the folder, `score` calls
`score_memes`, which embeds memes with `onnx_spaces` and scores them with the heads as they are.
These three and what they import import no PyTorch.
"""
