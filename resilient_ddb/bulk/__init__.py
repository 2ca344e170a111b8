"""Many items at a stated rate: batches, reads of many keys, scans in segments, and the limiters."""
