"""One report of a machine's GPU: parity with the CPU, throughput, and several processes, as Markdown and JSON."""
