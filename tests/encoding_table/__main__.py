"""Print the table of templates × users as Markdown."""

from tests.encoding_table.page import page

if __name__ == "__main__":
    print(page(), end="")
