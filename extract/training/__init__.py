"""Fine-tuning of both towers and the fusion head.

`training_loop` runs the epochs, and `optimizer_step` the forward and backward pass and the update
of each batch. `schedules` sets the learning rates; `augmentation` crops pictures. `resume_training`
saves everything between epochs, so that an interrupted training resumes. `distributed` supports
several processes; `out_of_memory` splits batches that do not fit into the device's memory.
"""
