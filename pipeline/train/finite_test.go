package train

import (
	"context"
	"math"
	"strings"
	"testing"

	"ulrl/pipeline/testenv"
	torch "ulrl/torchbridge"
)

func TestFiniteNamesWhatIsNot(t *testing.T) {
	_, dev := testenv.CPU(t)
	keep := dev.NewScope()
	defer keep.Close()
	for _, c := range []struct {
		weight, buffer float64
		want           string
	}{{1, 1, ""}, {math.NaN(), 1, "w is not finite: do less"}, {1, math.Inf(1), "b is not finite: do less"}} {
		var m *torch.Module
		testenv.Do(t, dev, func(s *torch.Scope) error {
			b := torch.NewBuilder(s)
			built, err := b.Finish(b.Part("Odd").Parameter("w", s.Full(c.weight, torch.Float32, 2)).
				Buffer("n", s.Full(1, torch.Int64)).Buffer("b", s.Full(c.buffer, torch.Float32, 2)).
				Define("def forward(self, x):\n    return x\n"))
			if err != nil {
				return err
			}
			m, err = built.CopyTo(keep)
			return err
		})
		err := finite(context.Background(), dev, m, "do less")
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}
