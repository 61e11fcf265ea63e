"""The wire contract, generated from protos/tiercel/v1 by `make proto`. Not edited by hand."""
