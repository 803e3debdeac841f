"""Read weights from files of Keras, TensorFlow and NumPy; none of their code is run."""
