"""The order books: what each instrument's resting orders and levels are after every transaction."""
