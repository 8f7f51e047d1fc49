// Package dataset reads labelled images into memory and draws the clean
// samples a defence works on.
package dataset

// Set is labelled images in memory: N×C×H×W bytes 0..255, C-contiguous.
type Set struct {
	Name    string
	C, H, W int
	Images  []uint8
	Labels  []int64
	// Classes holds the names in label order; its length is the class count.
	Classes []string
	// Titles is what people call the classes; nil: as Classes.
	Titles []string
}

// Title is what people call a class.
func (s *Set) Title(class int) string {
	if class < len(s.Titles) {
		return s.Titles[class]
	}
	return s.Classes[class]
}

// Len is the number of images.
func (s *Set) Len() int { return len(s.Labels) }

// Image is image i as C×H×W bytes: a view, not a copy. i must be in [0, Len).
func (s *Set) Image(i int) []uint8 {
	size := s.C * s.H * s.W
	return s.Images[i*size : (i+1)*size : (i+1)*size]
}

// Subset copies the images idx names, in its order, into a set of the same
// classes. Every index must be in [0, Len).
func (s *Set) Subset(idx []int) *Set {
	sub := &Set{
		Name: s.Name, C: s.C, H: s.H, W: s.W,
		Images:  make([]uint8, 0, len(idx)*s.C*s.H*s.W),
		Labels:  make([]int64, 0, len(idx)),
		Classes: append([]string(nil), s.Classes...), Titles: append([]string(nil), s.Titles...),
	}
	for _, i := range idx {
		sub.Images = append(sub.Images, s.Image(i)...)
		sub.Labels = append(sub.Labels, s.Labels[i])
	}
	return sub
}

// CountByClass is the number of images of each class, in label order. Labels
// that name no class are not counted.
func (s *Set) CountByClass() []int {
	counts := make([]int, len(s.Classes))
	for _, label := range s.Labels {
		if label >= 0 && label < int64(len(counts)) {
			counts[label]++
		}
	}
	return counts
}
