"""Fine-tuning of both towers and the fusion head.

`training_loop` runs the epochs, and `optimizer_step` the forward and backward pass and the update
of each batch. Training starts from a `linear_probe`. `schedules` sets the learning rates;
`augmentation` crops pictures. `resume_training` saves everything between epochs, so that an
interrupted training resumes. `distributed` supports several processes; `out_of_memory` splits
batches that do not fit into the device's memory. `embedding` embeds all rows, with `small_batches`
where they give the same bits.
"""
