"""Fine-tuning of both towers and the fusion head.

`training_loop` runs the epochs, `optimizer_step` is one forward and backward pass with its update,
`augmentation` draws views of the pictures, and `training_state` saves everything between epochs so
that a killed training resumes. `distributed` and `sync_batch_norm` serve several processes,
`out_of_memory` splits batches that do not fit on the device.
"""
