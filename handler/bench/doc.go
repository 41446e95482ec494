// Package bench measures what Posthorn promises of its speed and memory, each
// figure beside a baseline of the same run: what a server that only reads, the
// Azure SDK alone or a plain reverse proxy does on the same machine, minutes
// apart at most.
//
// It holds benchmarks only, and prints a table of them at the end; none fails
// for being slow, since a machine that is busy proves nothing. `make bench` runs
// them. The files that are sent must arrive identical, or the benchmark fails.
// The reader of requests has benchmarks of its own, in accept/wire.
//
// Sizes are bytes; MB is 1,000,000 of them, MiB 1,048,576.
package bench
