package runstore

import (
	"strings"
	"testing"
)

func TestKilledProcesses(t *testing.T) {
	stat := "8 (a) b) S 1 8 8 0 -1 %s 0 0 0 0 0 0 0 0 20 0 1 0 99 0 0"
	for _, c := range []struct {
		flags, pending string
		want           bool
	}{{"4194304", "0000000000000000", false}, {"4194308", "0000000000000000", true}, {"4194304", "0000000000000100", true}, {"4194304", "0000000000000a00", false}} {
		status := "Name:\tb\nSigQ:\t0/1\nSigPnd:\t" + c.pending + "\nShdPnd:\t0000000000000000\n"
		if got := ending(statFields(strings.Replace(stat, "%s", c.flags, 1)), status); got != c.want {
			t.Errorf("flags %s, pending %s: %v", c.flags, c.pending, got)
		}
	}
}
