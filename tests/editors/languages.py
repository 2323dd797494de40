"""Places in languages other than Python, where the name to complete stands above, so that the bundled model has it."""

OTHERS = {
    "a.go": "package main\n\nfunc total() int {\n\tcustomerCount := 1\n\treturn customerCou",
    "a.lua": "local customer_count = 1\nprint(customer_count)\nreturn customer_cou",
    "a.ts": "const customerCount = 1;\nconsole.log(customerCount);\nexport default customerCou",
    "a.c": "int main(void) {\n    int customer_count = 1;\n    return customer_cou",
}
"""Texts by the name of a file."""
