"""The compute process: a ladder of variants in memory, batches from a socket, tensors through shared memory."""
