"""The threads of a worker: who leads, who runs requests, and who notices that one is held up."""
