package fetch

import "ulrl/pipeline/progress"

// mib is a step of progress.
const mib = 1 << 20

// meter tells a sink of each MiB, the last one begun taken for whole.
type meter struct {
	sink        progress.Sink
	name        string // of the file
	at          int64
	done, total int
}

// newMeter begins a phase of size bytes, below 0 where nobody knows.
func newMeter(sink progress.Sink, phase, name string, size int64) *meter {
	m := &meter{sink: sink, name: name, total: int((max(size, 0) + mib - 1) / mib)}
	sink.Start(phase, m.total)
	return m
}

func (m *meter) add(n int64) {
	m.at += n
	m.to(int(m.at / mib))
}

func (m *meter) to(done int) {
	for ; m.done < done; m.done++ {
		m.sink.Step(m.name)
	}
}

// end closes the phase, which is over where whole is true.
func (m *meter) end(whole bool) {
	if whole {
		m.to(m.total)
	}
	m.sink.End()
}
