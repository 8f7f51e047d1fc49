package torchbridge

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// open gives a CPU device and checks at the test's end that no handle is left.
func open(t *testing.T) *Device {
	t.Helper()
	lib, err := Open(func(what string) { t.Log("leak:", what) })
	if err != nil {
		t.Fatal(err)
	}
	before := lib.LiveHandles()
	d, err := lib.Device("cpu", 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.Close()
		if n := lib.LiveHandles() - before; n != 0 {
			t.Errorf("%d handles were left", n)
		}
	})
	return d
}

// do runs f on the device and fails the test on an error.
func do(t *testing.T, d *Device, f func(s *Scope)) {
	t.Helper()
	err := d.Do(context.Background(), func(s *Scope) error { f(s); return nil })
	if err != nil {
		t.Fatal(err)
	}
}

func TestOperationsAgainstHandComputedValues(t *testing.T) {
	d := open(t)
	do(t, d, func(s *Scope) {
		a := From(s, []float64{1, -2, 3, 4}, 2, 2)
		b := From(s, []float64{2, 2, -1, 0.5}, 2, 2)
		col := From(s, []float64{10, 20}, 2, 1)
		cases := []struct {
			name string
			got  *Tensor
			want []float64
		}{
			{"neg", a.Neg(), []float64{-1, 2, -3, -4}},
			{"abs", a.Abs(), []float64{1, 2, 3, 4}},
			{"square", a.Square(), []float64{1, 4, 9, 16}},
			{"sqrt", a.Square().Sqrt(), []float64{1, 2, 3, 4}},
			{"sign", a.Sign(), []float64{1, -1, 1, 1}},
			{"round half to even", From(s, []float64{0.5, 1.5, -0.5, 2.4}, 4).Round(), []float64{0, 2, 0, 2}},
			{"add", a.Add(b), []float64{3, 0, 2, 4.5}},
			{"sub", a.Sub(b), []float64{-1, -4, 4, 3.5}},
			{"mul", a.Mul(b), []float64{2, -4, -3, 2}},
			{"div", a.Div(b), []float64{0.5, -1, -3, 8}},
			{"broadcast", a.Add(col), []float64{11, 8, 23, 24}},
			{"matmul", a.MatMul(b), []float64{4, 1, 2, 8}},
			{"add scalar", a.AddScalar(1), []float64{2, -1, 4, 5}},
			{"mul scalar", a.MulScalar(2), []float64{2, -4, 6, 8}},
			{"div scalar", a.DivScalar(2), []float64{0.5, -1, 1.5, 2}},
			{"clamp", a.Clamp(-1, 3), []float64{1, -1, 3, 3}},
			{"sum", a.Sum(), []float64{6}},
			{"mean", a.Mean(), []float64{1.5}},
			{"norm", a.Norm(), []float64{math.Sqrt(30)}},
			{"sum of rows", a.SumDim(1, false), []float64{-1, 7}},
			{"reshape", a.Reshape(-1), []float64{1, -2, 3, 4}},
			{"narrow", a.Narrow(1, 1, 1), []float64{-2, 4}},
			{"rows", a.Rows([]int{1, 1, 0}), []float64{3, 4, 3, 4, 1, -2}},
			{"cross-entropy", From(s, []float64{0, 0, math.Log(3), 0}, 2, 2).CrossEntropy(From(s, []int64{0, 0}, 2)),
				[]float64{(math.Log(2) + math.Log(4.0/3)) / 2}},
			{"cosine", a.CosineSimilarity(b, 1), []float64{-2 / math.Sqrt(5*8), -1 / math.Sqrt(25*1.25)}},
			{"cat", s.Cat(1, a, col), []float64{1, -2, 10, 3, 4, 20}},
			{"full", s.Full(7, Float64, 2), []float64{7, 7}},
		}
		for _, c := range cases {
			got := Values[float64](c.got)
			if len(got) != len(c.want) {
				t.Errorf("%s: got %v, want %v", c.name, got, c.want)
				continue
			}
			for i := range got {
				if math.Abs(got[i]-c.want[i]) > 1e-12 {
					t.Errorf("%s: got %v, want %v", c.name, got, c.want)
					break
				}
			}
		}
		if got := Values[int64](a.ArgMaxDim(1)); !reflect.DeepEqual(got, []int64{0, 1}) {
			t.Errorf("argmax: got %v", got)
		}
		if got := Values[bool](a.Div(s.Full(0, Float64, 2, 2)).IsFinite().All()); got[0] {
			t.Error("1/0 counts as finite")
		}
		if got := Values[bool](a.Eq(From(s, []float64{1, 2, 3, 5}, 2, 2))); !reflect.DeepEqual(got, []bool{true, false, true, false}) {
			t.Errorf("eq: got %v", got)
		}
	})
}

func roundTrip[T Element](t *testing.T, d *Device, values []T) {
	t.Helper()
	do(t, d, func(s *Scope) {
		x := From(s, values, len(values))
		if got := Values[T](x); !reflect.DeepEqual(got, values) {
			t.Errorf("%v: got %v, want %v", x.DType(), got, values)
		}
		if got := x.Shape(); !reflect.DeepEqual(got, []int{len(values)}) {
			t.Errorf("%v: shape %v", x.DType(), got)
		}
	})
}

func TestEveryElementTypeCrossesTheBridge(t *testing.T) {
	d := open(t)
	roundTrip(t, d, []uint8{0, 1, 255})
	roundTrip(t, d, []int64{math.MinInt64, 0, math.MaxInt64})
	roundTrip(t, d, []float32{-0.5, 0, math.MaxFloat32})
	roundTrip(t, d, []float64{math.SmallestNonzeroFloat64, 0, math.MaxFloat64})
	roundTrip(t, d, []bool{true, false, true})
	roundTrip(t, d, []float32{})
}

func TestConversionAndMemoryOrder(t *testing.T) {
	d := open(t)
	do(t, d, func(s *Scope) {
		x := From(s, []uint8{0, 51, 102, 255}, 4).To(Float32).DivScalar(255)
		if got := Values[float32](x); got[1] != 0.2 || got[3] != 1 {
			t.Errorf("uint8 to float32: %v", got)
		}
		image := From(s, []float32{1, 2, 3, 4, 5, 6, 7, 8}, 1, 2, 2, 2)
		last := image.ChannelsLast()
		if image.IsChannelsLast() || !last.IsChannelsLast() {
			t.Error("channels-last order is not told apart")
		}
		if !reflect.DeepEqual(Values[float32](last), Values[float32](image)) {
			t.Error("channels-last changed the elements")
		}
	})
}

func TestGradients(t *testing.T) {
	d := open(t)
	do(t, d, func(s *Scope) {
		x := From(s, []float64{1, 2, 3}, 3).SetRequiresGrad(true)
		if x.Grad() != nil {
			t.Error("a gradient before backward")
		}
		x.Square().Sum().Backward()
		if got := Values[float64](x.Grad()); !reflect.DeepEqual(got, []float64{2, 4, 6}) {
			t.Errorf("gradient %v", got)
		}
		s.NoGrad(func() {
			if x.Square().RequiresGrad() {
				t.Error("NoGrad recorded an operation")
			}
		})
		if !x.Square().RequiresGrad() {
			t.Error("recording is off after NoGrad")
		}
		if x.Detach().Square().RequiresGrad() {
			t.Error("a detached tensor is recorded")
		}
		x.CopyFrom(From(s, []float64{5}, 1))
		x.CopyRows([]int{2}, From(s, []float64{9}, 1))
		if got := Values[float64](x); !reflect.DeepEqual(got, []float64{5, 5, 9}) {
			t.Errorf("after CopyFrom and CopyRows: %v", got)
		}
	})
}

func TestTheFirstFailureSticksAndIsOneLine(t *testing.T) {
	d := open(t)
	err := d.Do(context.Background(), func(s *Scope) error {
		a := From(s, []float32{1, 2, 3}, 3)
		b := From(s, []float32{1, 2}, 2)
		c := a.Add(b).Neg().Sum()
		if c.Item() != 0 || Values[float32](c) != nil || c.Shape() != nil || c.Grad() != nil {
			t.Error("an invalid tensor has a value")
		}
		a.MatMul(From(s, []float32{1}, 1, 1, 1))
		return errors.New("a later error")
	})
	if err == nil || !strings.Contains(err.Error(), "size of tensor a (3) must match the size of tensor b (2)") {
		t.Fatalf("got %v", err)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
	var e *Error
	if !errors.As(err, &e) || e.Code != CodeTorch || len(e.Detail) <= len(e.Reason) {
		t.Errorf("not a torch error with detail: %#v", e)
	}
}

func TestExceptionsOfEveryKind(t *testing.T) {
	for kind, want := range []Code{CodeTorch, CodeMemory, CodeStd, CodeUnknown, CodeMemory} {
		var e *Error
		if err := fail(kind); !errors.As(err, &e) || e.Code != want {
			t.Errorf("kind %d: %v", kind, err)
		}
	}
	if !IsMemory(fail(4)) || IsMemory(fail(0)) {
		t.Error("IsMemory is wrong")
	}
}

func TestMisuseOfTensors(t *testing.T) {
	d := open(t)
	cases := []struct {
		name string
		want string
		run  func(s *Scope)
	}{
		{"wrong type", "read a tensor of float32 as int64", func(s *Scope) { Values[int64](From(s, []float32{1}, 1)) }},
		{"freed", "used after it was freed", func(s *Scope) { x := From(s, []float32{1}, 1); x.Free(); x.Free(); x.Neg() }},
		{"nil", "nil tensor", func(s *Scope) { From(s, []float32{1}, 1).Add(nil) }},
		{"shape", "the shape asks for 8 bytes, 4 were given", func(s *Scope) { From(s, []float32{1}, 2) }},
		{"too large", "memory", func(s *Scope) { s.Full(0, Float64, 1<<40, 1<<10) }},
		{"item of many", "cannot be converted to Scalar", func(s *Scope) { From(s, []float32{1, 2}, 2).Item() }},
		{"backward of nothing", "does not require grad", func(s *Scope) { From(s, []float32{1}, 1).Sum().Backward() }},
	}
	for _, c := range cases {
		err := d.Do(context.Background(), func(s *Scope) error { c.run(s); return nil })
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestScopesOwnAndMove(t *testing.T) {
	d := open(t)
	keep := d.NewScope()
	var x *Tensor
	do(t, d, func(s *Scope) { x = From(s, []float32{1, 2}, 2).Neg().MoveTo(keep) })
	do(t, d, func(s *Scope) {
		y := x.In(s).Neg()
		if got := Values[float32](y); got[1] != 2 {
			t.Errorf("a moved tensor reads %v", got)
		}
		if y.s != s {
			t.Error("the result of In(s) belongs elsewhere")
		}
	})
	if n := d.lib.LiveHandles(); n != 1 {
		t.Errorf("%d handles live, want the moved one", n)
	}
	keep.Close()
	keep.Close()
	x.Free()
}

func TestAForgottenScopeIsReported(t *testing.T) {
	leaks := make(chan string, 1)
	lib, err := Open(func(what string) { leaks <- what })
	if err != nil {
		t.Fatal(err)
	}
	d, err := lib.Device("cpu", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	h := func() handle {
		s := d.NewScope()
		x := From(s, []float32{1}, 1)
		return &Tensor{h: x.h} // what is needed to free it, without the scope
	}()
	defer h.free()
	for range 20 {
		runtime.GC()
		select {
		case what := <-leaks:
			if !strings.Contains(what, "1 handles") {
				t.Error(what)
			}
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Error("no report")
}

func TestDevicesAndThreads(t *testing.T) {
	d := open(t)
	if _, err := d.lib.Device("cuda:99", 0); err == nil || !strings.Contains(err.Error(), `no device "cuda:99" here; there is: cpu`) {
		t.Errorf("got %v", err)
	}
	if n, err := d.Threads(); err != nil || n != 2 {
		t.Errorf("threads: %d, %v", n, err)
	}
	one, err := d.lib.Device("cpu", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	if n, _ := one.Threads(); n != 1 {
		t.Errorf("the other device has %d threads", n)
	}
	if n, _ := d.Threads(); n != 2 {
		t.Errorf("the first device now has %d threads", n)
	}
}

func TestWorkStaysOnTheOwnerThread(t *testing.T) {
	d := open(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 20 {
				err := d.Do(context.Background(), func(s *Scope) error {
					if threadID() != d.thread {
						t.Error("a step ran on another thread")
					}
					return d.Do(context.Background(), func(inner *Scope) error {
						From(inner, []float32{1}, 1).Add(From(s, []float32{1}, 1))
						return nil
					})
				})
				if err != nil {
					t.Error(err)
				}
			}
		}()
	}
	wg.Wait()
}

func TestDoHonoursContextAndClose(t *testing.T) {
	d := open(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	ran := false
	err := d.Do(ctx, func(*Scope) error { ran = true; return nil })
	if !errors.Is(err, context.Canceled) || ran {
		t.Errorf("ran %v, err %v", ran, err)
	}
	d.Close()
	d.Close()
	if err := d.Do(context.Background(), func(*Scope) error { return nil }); err == nil {
		t.Error("a closed device works")
	}
}

// small builds y = x·Wᵀ + b with a child part, as the zoo builds its models.
func small(s *Scope) (*Module, error) {
	b := NewBuilder(s)
	child := b.Part("Linear").
		Parameter("weight", From(s, []float32{1, 2, 3, 4, 5, 6}, 3, 2)).
		Parameter("bias", From(s, []float32{0, 1, 0}, 3)).
		Define("def forward(self, x):\n    return torch.linear(x, self.weight, self.bias)\n")
	root := b.Part("Small").
		Child("head", child).
		Buffer("scale", From(s, []float32{2}, 1)).
		Define("def forward(self, x):\n    x = x * self.scale\n    if self.training:\n        x = x + 1\n    return self.head.forward(x)\n")
	return b.Finish(root)
}

func TestModuleLifecycle(t *testing.T) {
	d := open(t)
	do(t, d, func(s *Scope) {
		m, err := small(s)
		must(t, err)
		must(t, m.Train(false))
		x := From(s, []float32{1, 1}, 1, 2)
		want := []float32{6, 15, 22}
		check := func(name string, m *Module) {
			t.Helper()
			if got := Values[float32](m.Forward(x)); !reflect.DeepEqual(got, want) {
				t.Errorf("%s: got %v, want %v", name, got, want)
			}
		}
		check("built", m)
		archive, err := m.Save()
		must(t, err)
		loaded, err := s.LoadModule(archive)
		must(t, err)
		must(t, loaded.Train(false))
		check("loaded", loaded)
		folded, err := m.ForInference(s)
		must(t, err)
		check("for inference", folded)
		twin, err := m.CopyTo(s)
		must(t, err)
		check("copy", twin)
		s.NoGrad(func() { m.Parameter(s, "head.weight").CopyFrom(s.Full(0, Float32, 3, 2)) })
		check("copy after the original changed", twin)
		if !twin.Parameter(s, "head.weight").RequiresGrad() {
			t.Error("a copy's parameters do not require gradients")
		}
		must(t, twin.Train(true))
		if got := Values[float32](twin.Forward(x)); reflect.DeepEqual(got, want) {
			t.Error("train mode has no effect")
		}
		twin.Close()
		twin.Close()
	})
}

func TestForwardOnTwoTensors(t *testing.T) {
	d := open(t)
	do(t, d, func(s *Scope) {
		b := NewBuilder(s)
		m, err := b.Finish(b.Part("Sum").Define("def forward(self, x, y):\n    return x - y\n"))
		must(t, err)
		if got := Values[float32](m.Forward(From(s, []float32{5}, 1), From(s, []float32{3}, 1))); got[0] != 2 {
			t.Errorf("got %v", got)
		}
	})
	err := d.Do(context.Background(), func(s *Scope) error {
		s.Cat(0)
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "no tensor was given") {
		t.Errorf("got %v", err)
	}
}

// 1 + 2^-9 is 1 in bfloat16; gradients reach the weights, which stay float32.
func TestAutocastIsOfItsForwardAlone(t *testing.T) {
	do(t, open(t), func(s *Scope) {
		b := NewBuilder(s)
		m, err := b.Finish(b.Part("Linear").Parameter("weight", From(s, []float32{2, 4}, 1, 2)).
			Define("def forward(self, x):\n    return torch.linear(x, self.weight)\n"))
		must(t, err)
		must(t, m.RequireGrad(true))
		fine := float32(1 + 1.0/512)
		x := From(s, []float32{fine, 0}, 1, 2)
		var coarse *Tensor
		s.With(BFloat16, func() {
			coarse = m.Forward(x)
			if got := Values[float32](x.MulScalar(1)); got[0] != fine {
				t.Errorf("an operation outside of a module was cast: %v", got)
			}
		})
		if got := Values[float32](coarse); got[0] != 2 {
			t.Errorf("in bfloat16: %v, want 2", got)
		}
		coarse.Sum().Backward()
		if got := Values[float32](m.Parameter(s, "weight").Grad()); !reflect.DeepEqual(got, []float32{1, 0}) {
			t.Errorf("gradient %v, want 1 0", got)
		}
		if got := Values[float32](m.Forward(x)); got[0] != 2*fine {
			t.Errorf("afterwards: %v, want %v", got, 2*fine)
		}
	})
}

// What Float16 does with a loss must leave the gradients of every optimiser as
// they are, to the bit.
func TestScaledLossLeavesGradients(t *testing.T) {
	do(t, open(t), func(s *Scope) {
		b := NewBuilder(s)
		m, err := b.Finish(b.Part("Linear").Parameter("weight", From(s, []float32{0.3, -1.7}, 1, 2)).
			Define("def forward(self, x):\n    return torch.linear(x, self.weight).square()\n"))
		must(t, err)
		must(t, m.RequireGrad(true))
		opt, err := s.NewSGD(m, SGDOptions{LR: 1})
		must(t, err)
		gradient := func(backward func(loss *Tensor)) []float32 {
			opt.ZeroGrad(s)
			backward(m.Forward(From(s, []float32{0.7, 1.1}, 1, 2)).Sum())
			return Values[float32](m.Parameter(s, "weight").Grad())
		}
		plain := gradient(func(loss *Tensor) { s.Backward(loss, opt) })
		scaled := gradient(func(loss *Tensor) { s.scaledBackward(loss, []*Optimizer{opt}) })
		if !reflect.DeepEqual(plain, scaled) || plain[0] == 0 {
			t.Errorf("scaled %v, plain %v", scaled, plain)
		}
	})
}

// w = (3, -4) is 5 long, the slope (6, 8) 10: a tenth of the former is (0.3, 0.4).
func TestRelateGrad(t *testing.T) {
	do(t, open(t), func(s *Scope) {
		b := NewBuilder(s)
		m, err := b.Finish(b.Part("Linear").Parameter("weight", From(s, []float64{3, -4}, 1, 2)).Parameter("unused", From(s, []float64{100}, 1)).
			Define("def forward(self, x):\n    return torch.linear(x, self.weight)\n"))
		must(t, err)
		must(t, m.RequireGrad(true))
		opt, err := s.NewSGD(m, SGDOptions{LR: 1})
		must(t, err)
		opt.RelateGrad(s, 0.1) // there is none yet
		for _, slope := range [][]float64{{6, 8}, {0, 0}} {
			opt.ZeroGrad(s)
			m.Forward(From(s, slope, 1, 2)).Sum().Backward()
			opt.RelateGrad(s, 0.1)
			got := Values[float64](m.Parameter(s, "weight").Grad())
			for i, want := range slope {
				if math.Abs(got[i]-want/20) > 1e-12 {
					t.Errorf("slope %v became %v", slope, got)
				}
			}
		}
	})
}

// w = (3, -4), loss = w·(1, 2): |w|·g is (3, 8), of norm √73; w²·g is (9, 32).
func TestClimbAndReturn(t *testing.T) {
	do(t, open(t), func(s *Scope) {
		b := NewBuilder(s)
		m, err := b.Finish(b.Part("Linear").Parameter("weight", From(s, []float64{3, -4}, 1, 2)).
			Define("def forward(self, x):\n    return torch.linear(x, self.weight)\n"))
		must(t, err)
		must(t, m.RequireGrad(true))
		opt, err := s.NewSGD(m, SGDOptions{LR: 1})
		must(t, err)
		m.Forward(From(s, []float64{1, 2}, 1, 2)).Sum().Backward()
		opt.Climb(s, 0.5)
		up := Values[float64](m.Parameter(s, "weight").Detach())
		for i, want := range []float64{3 + 0.5*9/math.Sqrt(73), -4 + 0.5*32/math.Sqrt(73)} {
			if math.Abs(up[i]-want) > 1e-12 {
				t.Errorf("weight %d: %v, want %v", i, up[i], want)
			}
		}
		// A quarter of the way from (3, -4) to (7, 4), on top.
		other, err := b.Finish(b.Part("Other").Parameter("weight", From(s, []float64{7, 4}, 1, 2)).
			Define("def forward(self, x):\n    return torch.linear(x, self.weight)\n"))
		must(t, err)
		opt.Lean(s, other, 0.25)
		leant := Values[float64](m.Parameter(s, "weight").Detach())
		if math.Abs(leant[0]-up[0]-1) > 1e-12 || math.Abs(leant[1]-up[1]-2) > 1e-12 {
			t.Errorf("from %v leant to %v", up, leant)
		}
		for range 2 { // climbed and leant, and leant alone
			opt.Return(s)
			if back := Values[float64](m.Parameter(s, "weight").Detach()); !reflect.DeepEqual(back, []float64{3, -4}) {
				t.Errorf("back at %v", back)
			}
			opt.Lean(s, other, 0.5)
			if half := Values[float64](m.Parameter(s, "weight").Detach()); !reflect.DeepEqual(half, []float64{5, 0}) {
				t.Errorf("half way at %v", half)
			}
		}
	})
	err := open(t).Do(t.Context(), func(s *Scope) error {
		m, err := small(s)
		must(t, err)
		must(t, m.RequireGrad(true))
		opt, err := s.NewSGD(m, SGDOptions{LR: 1})
		must(t, err)
		b := NewBuilder(s)
		other, err := b.Finish(b.Part("Another").Parameter("weight", From(s, []float64{1}, 1)).Define("def forward(self, x):\n    return x\n"))
		must(t, err)
		opt.Lean(s, other, 0.5)
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "of other shapes") {
		t.Errorf("lean to another network: %v", err)
	}
	err = open(t).Do(t.Context(), func(s *Scope) error {
		m, err := small(s)
		must(t, err)
		must(t, m.RequireGrad(true))
		opt, err := s.NewSGD(m, SGDOptions{LR: 1})
		must(t, err)
		opt.Return(s)
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "the weights are not away") {
		t.Errorf("return without a climb: %v", err)
	}
}

func TestPictures(t *testing.T) {
	do(t, open(t), func(s *Scope) {
		table := make([]float32, 512)
		for i := range table {
			table[i] = float32(i)
		}
		bytes := From(s, []uint8{
			1, 2, 3, 4, // picture 0, channel 0
			5, 6, 7, 8,
			1, 2, 3, 4, // picture 1
			5, 6, 7, 8,
		}, 2, 2, 2, 2)
		got := Values[float32](bytes.Pictures(From(s, []int64{0, 1, 0, -1, 0, 1}, 2, 3), From(s, table, 2, 256)))
		want := []float32{
			2, 0, 4, 0, // one column further right
			262, 256, 264, 256,
			0, 0, 2, 1, // one row further up, mirrored
			256, 256, 262, 261,
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	for name, moves := range map[string][]int64{"too few moves": {1, 2, 3}, "too many": {1, 2, 3, 4, 5, 6, 7, 8, 9}} {
		err := open(t).Do(t.Context(), func(s *Scope) error {
			s.Full(0, Uint8, 2, 1, 2, 2).Pictures(From(s, moves, len(moves)/3, 3), s.Full(0, Float32, 1, 256))
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), "moves must be int64 of N×3") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestModuleLooksInside(t *testing.T) {
	d := open(t)
	do(t, d, func(s *Scope) {
		m, err := small(s)
		must(t, err)
		names, err := m.Parameters()
		must(t, err)
		if !reflect.DeepEqual(names, []string{"head.weight", "head.bias"}) {
			t.Errorf("parameters %v", names)
		}
		if names, _ = m.Buffers(); !reflect.DeepEqual(names, []string{"scale"}) {
			t.Errorf("buffers %v", names)
		}
		state, err := m.State()
		must(t, err)
		var said []string
		for _, at := range state {
			said = append(said, fmt.Sprint(at.Name, m.Tensor(s, at).Shape()))
		}
		if want := []string{fmt.Sprint("head.weight", m.Parameter(s, "head.weight").Shape()), fmt.Sprint("head.bias", m.Parameter(s, "head.bias").Shape()), fmt.Sprint("scale", m.Buffer(s, "scale").Shape())}; !reflect.DeepEqual(said, want) {
			t.Errorf("state %v, want %v", said, want)
		}
		if names, _ = m.Submodules(); !reflect.DeepEqual(names, []string{"", "head"}) {
			t.Errorf("submodules %v", names)
		}
		if class, _ := m.Class("head"); class != "Linear" {
			t.Errorf("class %q", class)
		}
		if required, most, _ := m.Arity(); required != 1 || most != 1 {
			t.Errorf("arity %d, %d", required, most)
		}
		ops, err := m.Operators()
		must(t, err)
		if !strings.Contains(strings.Join(ops, " "), "aten::linear") {
			t.Errorf("operators %v", ops)
		}
		if _, err := m.Class("tail"); err == nil || !strings.Contains(err.Error(), `no part named "tail"`) {
			t.Errorf("got %v", err)
		}
	})
}

func TestModuleTypeAndOrder(t *testing.T) {
	d := open(t)
	do(t, d, func(s *Scope) {
		b := NewBuilder(s)
		m, err := b.Finish(b.Part("Conv").Parameter("weight", s.Full(1, Float32, 2, 2, 3, 3)).
			Buffer("steps", From(s, []int64{3})).
			Define("def forward(self, x):\n    return torch.conv2d(x, self.weight)\n"))
		must(t, err)
		must(t, m.ChannelsLast(true))
		if !m.Parameter(s, "weight").IsChannelsLast() {
			t.Error("weights are not channels-last")
		}
		must(t, m.To(Float64))
		if got := m.Parameter(s, "weight").DType(); got != Float64 {
			t.Errorf("weights are %v", got)
		}
		if got := m.Buffer(s, "steps").DType(); got != Int64 {
			t.Errorf("the integer buffer became %v", got)
		}
		must(t, m.RequireGrad(false))
		if m.Parameter(s, "weight").RequiresGrad() {
			t.Error("gradients are still on")
		}
		if err := m.To(Int64); err == nil {
			t.Error("a module of integers")
		}
	})
}

// The sequence of PyTorch's documentation, computed by hand: momentum 0.9,
// weight decay 0.1, gradient 1 (loss = sum of parameters), start at 1.
func TestSGDByHand(t *testing.T) {
	for _, nesterov := range []bool{false, true} {
		d := open(t)
		do(t, d, func(s *Scope) {
			b := NewBuilder(s)
			m, err := b.Finish(b.Part("One").Parameter("w", From(s, []float64{1}, 1)).
				Define("def forward(self, x):\n    return x * self.w\n"))
			must(t, err)
			opt, err := s.NewSGD(m, SGDOptions{LR: 0.5, Momentum: 0.9, WeightDecay: 0.1, Nesterov: nesterov})
			must(t, err)
			w, velocity := 1.0, 0.0
			for step := range 5 {
				lr := 0.5 / float64(step+1)
				must(t, opt.SetLR(lr))
				opt.ZeroGrad(s)
				m.Forward(From(s, []float64{1}, 1)).Sum().Backward()
				opt.ClipGradNorm(s, 0.5)
				opt.Step(s)
				grad := 0.5/(1+1e-6) + 0.1*w // PyTorch divides by norm + 1e-6
				if step == 0 {
					velocity = grad
				} else {
					velocity = 0.9*velocity + grad
				}
				if nesterov {
					w -= lr * (grad + 0.9*velocity)
				} else {
					w -= lr * velocity
				}
				if got := m.Parameter(s, "w").Item(); math.Abs(got-w) > 1e-12 {
					t.Errorf("nesterov %v, step %d: %v, want %v", nesterov, step, got, w)
				}
			}
		})
	}
}

// Kingma and Ba's Algorithm 1 by hand; the gradient is the input.
func TestAdamByHand(t *testing.T) {
	d := open(t)
	do(t, d, func(s *Scope) {
		b := NewBuilder(s)
		m, err := b.Finish(b.Part("One").Parameter("w", From(s, []float64{1}, 1)).
			Define("def forward(self, x):\n    return x * self.w\n"))
		must(t, err)
		opt, err := s.NewAdam(m, AdamOptions{LR: 0.1, Beta1: 0.5, Beta2: 0.9})
		must(t, err)
		w, mean, square := 1.0, 0.0, 0.0
		for step, grad := range []float64{3, -1, 0.25, 2} {
			opt.ZeroGrad(s)
			m.Forward(From(s, []float64{grad}, 1)).Sum().Backward()
			opt.Step(s)
			mean, square = 0.5*mean+0.5*grad, 0.9*square+0.1*grad*grad
			n := float64(step + 1)
			w -= 0.1 * mean / (1 - math.Pow(0.5, n)) / (math.Sqrt(square/(1-math.Pow(0.9, n))) + 1e-8)
			if got := m.Parameter(s, "w").Item(); math.Abs(got-w) > 1e-9 {
				t.Errorf("step %d: %v, want %v", step, got, w)
			}
		}
	})
}

// An optimiser that goes on from saved state steps as one that never stopped.
func TestOptimisersGoOnFromTheirState(t *testing.T) {
	d := open(t)
	kinds := map[string]func(s *Scope, m *Module) (*Optimizer, error){
		"sgd":  func(s *Scope, m *Module) (*Optimizer, error) { return s.NewSGD(m, SGDOptions{LR: 0.1, Momentum: 0.9}) },
		"adam": func(s *Scope, m *Module) (*Optimizer, error) { return s.NewAdam(m, AdamOptions{0.1, 0.9, 0.999}) },
	}
	for name, kind := range kinds {
		do(t, d, func(s *Scope) {
			m, err := small(s)
			must(t, err)
			opt, err := kind(s, m)
			must(t, err)
			step := func(m *Module, opt *Optimizer) {
				opt.ZeroGrad(s)
				m.Forward(From(s, []float32{1, 2}, 1, 2)).Square().Sum().Backward()
				opt.Step(s)
			}
			step(m, opt)
			step(m, opt)
			other, err := m.CopyTo(s)
			must(t, err)
			state, err := opt.Save()
			must(t, err)
			fresh, err := kind(s, other)
			must(t, err)
			must(t, fresh.Restore(state))
			step(m, opt)
			step(other, fresh)
			want, got := Values[float32](m.Parameter(s, "head.weight")), Values[float32](other.Parameter(s, "head.weight"))
			if !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", name, got, want)
			}
			if err := fresh.Restore(state[:len(state)/2]); err == nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: half a state: %v", name, err)
			}
		})
	}
}

func TestAStepAfterAFailureDoesNotTouchTheWeights(t *testing.T) {
	d := open(t)
	keep := d.NewScope()
	defer keep.Close()
	var m *Module
	do(t, d, func(s *Scope) {
		built, err := small(s)
		must(t, err)
		m, err = built.CopyTo(keep)
		must(t, err)
	})
	err := d.Do(context.Background(), func(s *Scope) error {
		opt, err := s.NewSGD(m, SGDOptions{LR: 1})
		must(t, err)
		m.Forward(From(s, []float32{1, 1}, 1, 2)).Sum().Backward()
		From(s, []float32{1}, 1).Add(From(s, []float32{1, 2, 3}, 3)).MatMul(From(s, []float32{1}, 1))
		opt.Step(s)
		return nil
	})
	if err == nil {
		t.Fatal("no error")
	}
	do(t, d, func(s *Scope) {
		if got := Values[float32](m.Parameter(s, "head.weight")); got[0] != 1 {
			t.Errorf("the weights moved: %v", got)
		}
	})
}

func TestModuleErrors(t *testing.T) {
	d := open(t)
	do(t, d, func(s *Scope) {
		if _, err := s.LoadModule([]byte("not a model")); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v", err)
		}
		if _, err := s.LoadModule(nil); err == nil {
			t.Error("an empty archive loads")
		}
		b := NewBuilder(s)
		if _, err := b.Finish(b.Part("Bad").Define("def forward(self, x):\n    return self.nothing\n")); err == nil ||
			!strings.HasPrefix(err.Error(), "compile a method: ") {
			t.Errorf("got %v", err)
		}
		b = NewBuilder(s)
		m, err := b.Finish(b.Part("Pair").Define("def forward(self, x):\n    return (x, x)\n"))
		must(t, err)
		if _, err := s.NewSGD(m, SGDOptions{LR: 1}); err == nil || !strings.Contains(err.Error(), "no parameter") {
			t.Errorf("got %v", err)
		}
	})
	err := d.Do(context.Background(), func(s *Scope) error {
		b := NewBuilder(s)
		m, err := b.Finish(b.Part("Pair").Define("def forward(self, x):\n    return (x, x)\n"))
		must(t, err)
		m.Forward(From(s, []float32{1}, 1))
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "Tuple, not one tensor") {
		t.Errorf("got %v", err)
	}
}

func TestErrorsOfTheInterpreterNameTheReason(t *testing.T) {
	d := open(t)
	err := d.Do(context.Background(), func(s *Scope) error {
		m, err := small(s)
		must(t, err)
		m.Forward(From(s, []float32{1, 2, 3}, 1, 3))
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "cannot be multiplied (1x3 and 2x3)") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
}

// A thousand training steps keep resident memory flat and the counter at zero.
func TestAThousandStepsLeakNothing(t *testing.T) {
	d := open(t)
	keep := d.NewScope()
	defer keep.Close()
	var m *Module
	var opt *Optimizer
	do(t, d, func(s *Scope) {
		b := NewBuilder(s)
		built, err := b.Finish(b.Part("Big").Parameter("w", s.Full(0.01, Float32, 256, 256)).
			Define("def forward(self, x):\n    return torch.linear(x, self.w).relu()\n"))
		must(t, err)
		m, err = built.CopyTo(keep)
		must(t, err)
		opt, err = keep.NewSGD(m, SGDOptions{LR: 1e-6, Momentum: 0.9})
		must(t, err)
	})
	data := make([]float32, 128*256)
	step := func() {
		do(t, d, func(s *Scope) {
			opt.ZeroGrad(s)
			m.Forward(From(s, data, 128, 256)).Square().Mean().Backward()
			opt.ClipGradNorm(s, 20)
			opt.Step(s)
		})
	}
	for range 100 {
		step()
	}
	handles, before := d.lib.LiveHandles(), resident(t)
	for range 1000 {
		step()
	}
	if n := d.lib.LiveHandles(); n != handles {
		t.Errorf("%d handles before, %d after", handles, n)
	}
	// One leaked batch per step would be 128 MiB.
	if grown := resident(t) - before; grown > 8<<20 {
		t.Errorf("resident memory grew by %d KiB", grown>>10)
	}
}

func resident(t *testing.T) int64 {
	t.Helper()
	runtime.GC()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc/self/statm on this system")
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	must(t, err)
	return pages * int64(os.Getpagesize())
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
