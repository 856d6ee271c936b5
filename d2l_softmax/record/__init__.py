"""What listens to the loop and changes nothing in it: folder, metrics, checkpoint, TensorBoard, console, pictures."""
