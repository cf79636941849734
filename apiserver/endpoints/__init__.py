"""What the server answers: one module per verb or document, found by `dispatch`."""
