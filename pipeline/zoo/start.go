package zoo

import (
	"math"

	torch "ulrl/torchbridge"
)

// start is how the weight and the bias of a layer are drawn. PyTorch's default
// is inverseRoot for both.
type start struct{ weight, bias rule }

// fan is how many values go into one output of a layer and how many outputs
// one input reaches; kernels count with their area, groups do not count.
type fan struct{ in, out int }

// rule gives a generator of values for a tensor of a layer.
type rule func(*maker, fan) func() float64

// inverseRoot is uniform in ±1/√fan_in.
func inverseRoot(m *maker, f fan) func() float64 { return m.uniform(1 / math.Sqrt(float64(f.in))) }

// inverseRootOut is uniform in ±1/√fan_out.
func inverseRootOut(m *maker, f fan) func() float64 { return m.uniform(1 / math.Sqrt(float64(f.out))) }

// inverseRootNormal is normal with variance 1/fan_in.
func inverseRootNormal(m *maker, f fan) func() float64 { return m.normal(1 / math.Sqrt(float64(f.in))) }

// kaimingOut is normal with variance 2/fan_out, kaimingIn with 2/fan_in.
func kaimingOut(m *maker, f fan) func() float64 { return m.normal(math.Sqrt(2 / float64(f.out))) }
func kaimingIn(m *maker, f fan) func() float64  { return m.normal(math.Sqrt(2 / float64(f.in))) }

// xavier is uniform with variance 2/(fan_in + fan_out).
func xavier(m *maker, f fan) func() float64 { return m.uniform(math.Sqrt(6 / float64(f.in+f.out))) }

// spread is normal with a fixed standard deviation.
func spread(std float64) rule { return func(m *maker, _ fan) func() float64 { return m.normal(std) } }

func zeros(*maker, fan) func() float64 { return func() float64 { return 0 } }

func (m *maker) uniform(bound float64) func() float64 {
	return func() float64 { return (2*m.rng.Float64() - 1) * bound }
}

func (m *maker) normal(std float64) func() float64 {
	return func() float64 { return m.rng.NormFloat64() * std }
}

// draw fills a tensor.
func (m *maker) draw(next func() float64, shape ...int) *torch.Tensor {
	n := 1
	for _, extent := range shape {
		n *= extent
	}
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(next())
	}
	return torch.From(m.s, values, shape...)
}

// parameter adds t to p and frees it: p keeps a copy, and a large network
// would be in memory twice.
func (m *maker) parameter(p *torch.Part, name string, t *torch.Tensor) *torch.Part {
	defer t.Free()
	return p.Parameter(name, t)
}
