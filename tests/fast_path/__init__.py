"""The fast path, compared with the long way: both give the same responses to the same bytes, however they are split."""
