package zoo

import (
	"strconv"
	"strings"

	torch "ulrl/torchbridge"
)

// convolution is a layer with a square kernel.
type convolution struct {
	in, out, kernel, stride, padding int
	groups                           int // 0: one
	bias                             bool
}

// conv is a convolution without bias.
func (m *maker) conv(in, out, kernel, stride, padding int) *torch.Part {
	return m.convolve(convolution{in: in, out: out, kernel: kernel, stride: stride, padding: padding})
}

// narrow is the number of channels from which on oneDNN's AVX2 convolutions with a kernel of
// 1 and a stride write only into their own memory (docs/compatibility.md). Below it pixels
// are left out first, which comes to the same.
const narrow = 8

func (m *maker) convolve(c convolution) *torch.Part {
	groups := max(c.groups, 1)
	area := c.kernel * c.kernel
	f := fan{in: c.in / groups * area, out: c.out * area}
	p := m.b.Part("Conv2d")
	m.parameter(p, "weight", m.draw(m.convs.weight(m, f), c.out, c.in/groups, c.kernel, c.kernel))
	bias, images := "None", "x"
	if c.bias {
		m.parameter(p, "bias", m.draw(m.convs.bias(m, f), c.out))
		bias = "self.bias"
	}
	if c.kernel == 1 && c.padding == 0 && c.stride > 1 && c.in < narrow {
		stride := render("[:, :, ::STRIDE, ::STRIDE]", "STRIDE", c.stride)
		images, c.stride = images+stride, 1
	}
	return p.Define(render(`
def forward(self, x):
    return torch.conv2d(IMAGES, self.weight, BIAS, [STRIDE, STRIDE], [PADDING, PADDING], [1, 1], GROUPS)
`, "IMAGES", images, "BIAS", bias, "STRIDE", c.stride, "PADDING", c.padding, "GROUPS", groups))
}

func (m *maker) linear(in, out int) *torch.Part { return m.linearFrom(m.linears, in, out) }

func (m *maker) linearFrom(from start, in, out int) *torch.Part {
	f := fan{in, out}
	p := m.b.Part("Linear")
	m.parameter(p, "weight", m.draw(from.weight(m, f), out, in))
	m.parameter(p, "bias", m.draw(from.bias(m, f), out))
	return p.Define(`
def forward(self, x):
    return torch.linear(x, self.weight, self.bias)
`)
}

// batchNorm has PyTorch's default momentum and epsilon.
func (m *maker) batchNorm(channels int) *torch.Part {
	return m.batchNormOf(channels, "0.1", "1e-05")
}

func (m *maker) batchNormOf(channels int, momentum, epsilon string) *torch.Part {
	return m.ones(m.b.Part("BatchNorm2d"), channels).
		Buffer("running_mean", m.s.Full(0, torch.Float32, channels)).
		Buffer("running_var", m.s.Full(1, torch.Float32, channels)).
		Buffer("num_batches_tracked", m.s.Full(0, torch.Int64)).
		Define(render(`
def forward(self, x):
    if self.training:
        self.num_batches_tracked.add_(1)
    return torch.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var, self.training, MOMENTUM, EPSILON, True)
`, "MOMENTUM", momentum, "EPSILON", epsilon))
}

// layerNorm is over the last dimension.
func (m *maker) layerNorm(channels int) *torch.Part {
	return m.ones(m.b.Part("LayerNorm"), channels).Define(render(`
def forward(self, x):
    return torch.layer_norm(x, [CHANNELS], self.weight, self.bias, 1e-06)
`, "CHANNELS", channels))
}

// ones adds a weight of ones and a bias of zeros, which a normalisation starts with.
func (m *maker) ones(p *torch.Part, channels int) *torch.Part {
	m.parameter(p, "weight", m.s.Full(1, torch.Float32, channels))
	return m.parameter(p, "bias", m.s.Full(0, torch.Float32, channels))
}

// function is a part without parameters, an expression of x.
func (m *maker) function(class, expression string) *torch.Part {
	return m.b.Part(class).Define("\ndef forward(self, x):\n    return " + expression + "\n")
}

func (m *maker) relu() *torch.Part { return m.function("ReLU", "torch.relu(x)") }

func (m *maker) gelu() *torch.Part { return m.function("GELU", "torch.gelu(x)") }

// dropout sets a share of the values to zero, in training only.
func (m *maker) dropout(share string) *torch.Part {
	return m.function("Dropout", "torch.dropout(x, "+share+", self.training)")
}

// convNorm is a convolution, its normalisation and perhaps an activation.
func (m *maker) convNorm(c convolution, norm *torch.Part, activation ...*torch.Part) *torch.Part {
	return m.sequence(append([]*torch.Part{m.convolve(c), norm}, activation...)...)
}

// squeeze is squeeze-and-excitation (arXiv 1709.01507): channels are weighed by
// what the whole image says of them. The functions are TorchScript's names.
func (m *maker) squeeze(channels, squeezed int, activation, gate string) *torch.Part {
	return m.b.Part("SqueezeExcitation").
		Child("fc1", m.convolve(convolution{in: channels, out: squeezed, kernel: 1, stride: 1, bias: true})).
		Child("fc2", m.convolve(convolution{in: squeezed, out: channels, kernel: 1, stride: 1, bias: true})).
		Define(render(`
def forward(self, x):
    y = self.fc1.forward(torch.adaptive_avg_pool2d(x, [1, 1]))
    return GATE(self.fc2.forward(ACTIVATION(y))) * x
`, "GATE", gate, "ACTIVATION", activation))
}

// pooledClassifier is the forward of a network of features and a classifier.
const pooledClassifier = `
def forward(self, x):
    x = torch.adaptive_avg_pool2d(self.features.forward(x), [1, 1])
    return self.classifier.forward(torch.flatten(x, 1))
`

// named is a part and the name it has in its parent.
type named struct {
	name string
	part *torch.Part
}

// sequence calls its parts in order; they are named "0", "1" and so on.
func (m *maker) sequence(parts ...*torch.Part) *torch.Part {
	var list []named
	for i, part := range parts {
		list = append(list, named{itoa(i), part})
	}
	return m.chain(list...)
}

// chain calls its parts in order.
func (m *maker) chain(parts ...named) *torch.Part {
	p := m.b.Part("Sequential")
	source := "\ndef forward(self, x):\n"
	for _, n := range parts {
		p.Child(n.name, n.part)
		source += `    x = getattr(self, "` + n.name + `").forward(x)` + "\n"
	}
	return p.Define(source + "    return x\n")
}

// render replaces names in TorchScript source: render(text, "STRIDE", 2, ...).
func render(source string, pairs ...any) string {
	for i := 0; i < len(pairs); i += 2 {
		value, ok := pairs[i+1].(string)
		if !ok {
			value = itoa(pairs[i+1].(int))
		}
		source = strings.ReplaceAll(source, pairs[i].(string), value)
	}
	return source
}

func itoa(n int) string { return strconv.Itoa(n) }
