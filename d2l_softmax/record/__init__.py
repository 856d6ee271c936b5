"""What is kept of a run while it trains: folder, metrics, checkpoint, TensorBoard, console and pictures.

Everything here listens to the loop and changes nothing in it.
"""
