"""Weights out of the files of Keras, TensorFlow and NumPy; none of their code is run."""
