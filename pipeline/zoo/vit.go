package zoo

import torch "ulrl/torchbridge"

// vitB16 is torchvision's ViT-B/16 (arXiv 2010.11929) as the field's backdoor
// benchmarks use it: behind a resize to 224×224, so that the names of its
// tensors start with "1.". A width other than 768 keeps the 12 blocks and the
// 64 channels of a head. The patches' projection starts normal with variance
// 1/fan_in, the positions with standard deviation 0.02, attention and the
// blocks' linear layers by Xavier's rule, the blocks' linear biases with standard
// deviation 1e-6, the class token and the other biases at zero; the head, and
// attention's output weight, start as PyTorch's linear layers do.
func (m *maker) vitB16(spec Spec) *torch.Part {
	m.convs = start{inverseRootNormal, zeros}
	w := spec.Width
	root := m.b.Part("VisionTransformer")
	m.parameter(root, "class_token", m.s.Full(0, torch.Float32, 1, 1, w))
	root.Child("conv_proj", m.convolve(convolution{in: spec.Channels, out: w, kernel: 16, stride: 16, bias: true})).
		Child("encoder", m.vitEncoder(w)).
		Child("heads", m.chain(named{"head", m.linear(w, spec.Classes)})).
		Define(`
def forward(self, x):
    patches = torch.flatten(self.conv_proj.forward(x), 2).transpose(1, 2)
    token = self.class_token.expand([x.size(0), -1, -1])
    x = self.encoder.forward(torch.cat([token, patches], 1))
    return self.heads.forward(x[:, 0])
`)
	return m.sequence(m.resize(224), root)
}

// resize is bilinear, to squares, without antialiasing; images of that size
// stay as they are.
func (m *maker) resize(side int) *torch.Part {
	return m.b.Part("Resize").Define(render(`
def forward(self, x):
    if x.size(2) != SIDE or x.size(3) != SIDE:
        x = torch.upsample_bilinear2d(x, [SIDE, SIDE], False)
    return x
`, "SIDE", side))
}

func (m *maker) vitEncoder(w int) *torch.Part {
	const blocks, tokens = 12, 14*14 + 1
	p := m.b.Part("Encoder")
	m.parameter(p, "pos_embedding", m.draw(m.normal(0.02), 1, tokens, w))
	var layers []named
	for i := range blocks {
		layers = append(layers, named{"encoder_layer_" + itoa(i), m.vitBlock(w)})
	}
	return p.Child("layers", m.chain(layers...)).
		Child("ln", m.layerNorm(w)).
		Define(`
def forward(self, x):
    return self.ln.forward(self.layers.forward(x + self.pos_embedding))
`)
}

func (m *maker) vitBlock(w int) *torch.Part {
	hidden := start{xavier, spread(1e-6)}
	return m.b.Part("EncoderBlock").
		Child("ln_1", m.layerNorm(w)).
		Child("self_attention", m.attention(w, w/64)).
		Child("ln_2", m.layerNorm(w)).
		Child("mlp", m.chain(
			named{"0", m.linearFrom(hidden, w, 4*w)},
			named{"1", m.gelu()},
			named{"3", m.linearFrom(hidden, 4*w, w)})). // 2 and 4 are dropout of nothing
		Define(`
def forward(self, x):
    x = x + self.self_attention.forward(self.ln_1.forward(x))
    return x + self.mlp.forward(self.ln_2.forward(x))
`)
}

// attention is self-attention over N×tokens×width.
func (m *maker) attention(width, heads int) *torch.Part {
	p := m.b.Part("MultiheadAttention")
	m.parameter(p, "in_proj_weight", m.draw(xavier(m, fan{width, 3 * width}), 3*width, width))
	m.parameter(p, "in_proj_bias", m.s.Full(0, torch.Float32, 3*width))
	return p.Child("out_proj", m.linearFrom(start{inverseRoot, zeros}, width, width)).
		Define(render(`
def forward(self, x):
    split = [x.size(0), x.size(1), 3, HEADS, x.size(2) // HEADS]
    both = torch.linear(x, self.in_proj_weight, self.in_proj_bias).view(split).permute([2, 0, 3, 1, 4])
    query = both[0] / float(split[4]) ** 0.5
    share = torch.softmax(torch.matmul(query, both[1].transpose(2, 3)), -1)
    return self.out_proj.forward(torch.flatten(torch.matmul(share, both[2]).transpose(1, 2), 2))
`, "HEADS", heads))
}
