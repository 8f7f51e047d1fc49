package backdoorbench

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"ulrl/pipeline/fault"
	"ulrl/pipeline/pickle"
	"ulrl/pipeline/torchfile"
	torch "ulrl/torchbridge"
)

// maxState is how many bytes the tensors of a state dict may take together: several times the
// largest network that is known.
const maxState = 2 << 30

// Tensors are the state dict's, as float32 or int64 on s's device.
func (r *Record) Tensors(s *torch.Scope) (map[string]*torch.Tensor, error) {
	out := map[string]*torch.Tensor{}
	bytes := 0 // shared ones again in each place, as each becomes a tensor of its own
	for i, key := range r.State.Keys {
		name := key.(string)
		t := r.State.Values[i].(*torchfile.Tensor)
		if bytes += len(t.Data); bytes > maxState {
			return nil, fault.Misuse("%s in %s: the tensors of its state dict take more than %d GiB: it is none of the networks that are known", FileAttack, r.Dir, maxState>>30)
		}
		switch t.DType {
		case "float32", "float64", "float16", "bfloat16":
			out[name] = torch.From(s, floats(t), t.Shape...)
		case "int64":
			values := make([]int64, len(t.Data)/8)
			for k := range values {
				values[k] = int64(binary.LittleEndian.Uint64(t.Data[8*k:]))
			}
			out[name] = torch.From(s, values, t.Shape...)
		default:
			return nil, fault.Misuse("%s in %s: its %s is of type %s, wanted numbers", FileAttack, r.Dir, name, t.DType)
		}
	}
	return out, s.Err()
}

func floats(t *torchfile.Tensor) []float32 {
	size := map[string]int{"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}[t.DType]
	out := make([]float32, len(t.Data)/size)
	for k := range out {
		at := t.Data[size*k:]
		switch t.DType {
		case "float32":
			out[k] = math.Float32frombits(binary.LittleEndian.Uint32(at))
		case "float64":
			out[k] = float32(math.Float64frombits(binary.LittleEndian.Uint64(at)))
		case "float16":
			out[k] = half(binary.LittleEndian.Uint16(at))
		case "bfloat16":
			out[k] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(at)) << 16)
		}
	}
	return out
}

// half is an IEEE 754 binary16 as float32.
func half(bits uint16) float32 {
	exponent, fraction := int(bits>>10&31), float64(bits&1023)
	var v float64
	switch exponent {
	case 0:
		v = math.Ldexp(fraction, -24)
	case 31:
		v = math.Inf(1)
		if fraction != 0 {
			v = math.NaN()
		}
	default:
		v = math.Ldexp(1+fraction/1024, exponent-15)
	}
	if bits>>15 == 1 {
		v = -v
	}
	return float32(v)
}

// Defense is the defence's record of m, a cleaned model: what torch.save writes
// of model_name, num_classes and the state dict, under the attack's own names and
// in their order. A model with other parameters is refused as misuse.
func (r *Record) Defense(s *torch.Scope, m *torch.Module) ([]byte, error) {
	there := map[string]*torch.Tensor{}
	for _, kind := range []struct {
		names func() ([]string, error)
		get   func(*torch.Scope, string) *torch.Tensor
	}{{m.Parameters, m.Parameter}, {m.Buffers, m.Buffer}} {
		names, err := kind.names()
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			there[name] = kind.get(s, name)
		}
	}
	state := pickle.NewDict()
	for i, key := range r.State.Keys {
		name, was := key.(string), r.State.Values[i].(*torchfile.Tensor)
		t := there[name]
		delete(there, name)
		if t == nil {
			return nil, fault.Misuse("the model has no %s, which the record's %s has: it was not cleaned from this record", name, r.Network)
		}
		saved, err := saved(t)
		if err != nil {
			return nil, fmt.Errorf("read %s of the model: %w", name, err)
		}
		if fmt.Sprint(saved.Shape) != fmt.Sprint(was.Shape) {
			return nil, fault.Misuse("%s of the model is %v, in the record %v: it was not cleaned from this record", name, saved.Shape, was.Shape)
		}
		state.Set(name, saved)
	}
	for name := range there {
		if strings.HasSuffix(name, "num_batches_tracked") {
			continue // old state dicts lack it
		}
		return nil, fault.Misuse("the model has %s, which the record's %s lacks: it was not cleaned from this record", name, r.Network)
	}
	if s.Err() != nil {
		return nil, fmt.Errorf("read the model's weights: %w", s.Err())
	}
	all := pickle.NewDict()
	all.Set("model_name", r.Network)
	all.Set("num_classes", int64(r.Classes))
	all.Set("model", state)
	return torchfile.Write(all, state)
}

func saved(t *torch.Tensor) (*torchfile.Tensor, error) {
	out := &torchfile.Tensor{Shape: t.Shape(), Data: []byte{}}
	switch t.DType() {
	case torch.Float32:
		out.DType = "float32"
		for _, v := range torch.Values[float32](t) {
			out.Data = binary.LittleEndian.AppendUint32(out.Data, math.Float32bits(v))
		}
	case torch.Int64:
		out.DType = "int64"
		for _, v := range torch.Values[int64](t) {
			out.Data = binary.LittleEndian.AppendUint64(out.Data, uint64(v))
		}
	default:
		return nil, fmt.Errorf("its type is %s, wanted float32 or int64", t.DType())
	}
	return out, nil
}
