"""The whole product, one file per noun: no other code changes `wanted`.

A verb takes the caller first, checks rights, sense and quota, writes `wanted`, claims, usage and the journal
in one transaction, wakes a loop and returns at once.
"""
