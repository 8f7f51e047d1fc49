// Package fetch brings data sets from where they are given out: resumed where a
// transfer broke off, checked against published sums, unpacked beside their place
// and moved there whole.
package fetch

import (
	"ulrl/pipeline/dataset"
)

// Set is a data set as it is given out.
type Set struct {
	Name string // of its folder too
	Base string // URL that the files' names are added to
	// Files are fetched and unpacked in this order.
	Files []File
	Kind  string // as data.kind has it
	// Proof is a file that is there once the set is, below its folder.
	Proof string
	// Most bounds the bytes of each file, and those that all files unpack to.
	Most int64
	// Classes is for the user's config.
	Classes int
}

// File is a .tar.gz or .zip archive, or a file that is kept as it is.
type File struct {
	Name string
	Sum  string // "sha256:…" or "md5:…", in hexadecimal
}

// Sets are those that can be fetched. The sums are those that public projects
// compare these archives with, each found in several unrelated ones; the files
// themselves come with none but Fashion-MNIST's, whose README has the MD5. MD5
// guards against damage, not against an attacker.
func Sets() []Set {
	return []Set{
		{
			Name: "cifar10", Base: "https://www.cs.toronto.edu/~kriz/", Kind: dataset.KindCIFAR, Classes: 10,
			Files: []File{{"cifar-10-python.tar.gz", "sha256:6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"}},
			Proof: "cifar-10-batches-py/test_batch", Most: 1 << 30,
		},
		{
			Name: "cifar100", Base: "https://www.cs.toronto.edu/~kriz/", Kind: dataset.KindCIFAR, Classes: 100,
			Files: []File{{"cifar-100-python.tar.gz", "sha256:85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"}},
			Proof: "cifar-100-python/test", Most: 1 << 30,
		},
		{
			// The full training set; torchvision's archive has two thirds of it.
			Name: "gtsrb", Base: "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/", Kind: dataset.KindGTSRB, Classes: 43,
			Files: []File{
				{"GTSRB_Final_Training_Images.zip", "md5:f33fd80ac59bff73c82d25ab499e03a3"},
				{"GTSRB_Final_Test_Images.zip", "md5:c7e4e6327067d32654124b0fe9e82185"},
				{"GTSRB_Final_Test_GT.zip", "md5:fe31e9c9270bbcd7b84b7f21a9d9d9e5"},
			},
			Proof: "GT-final_test.csv", Most: 4 << 30,
		},
		{
			Name: "tiny-imagenet", Base: "http://cs231n.stanford.edu/", Kind: dataset.KindTinyImageNet, Classes: 200,
			Files: []File{{"tiny-imagenet-200.zip", "md5:90528d7ca1a48142e341f4ef8d21d0de"}},
			Proof: "tiny-imagenet-200/wnids.txt", Most: 4 << 30,
		},
		{
			Name: "fashion-mnist", Base: "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/", Kind: dataset.KindIDX, Classes: 10,
			Files: []File{
				{"train-images-idx3-ubyte.gz", "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d"},
				{"train-labels-idx1-ubyte.gz", "md5:25c81989df183df01b3e8a0aad5dffbe"},
				{"t10k-images-idx3-ubyte.gz", "md5:bef4ecab320f06d8554ea6380940ec79"},
				{"t10k-labels-idx1-ubyte.gz", "md5:bb300cfdad3c16e7a12a480ee83cd310"},
			},
			Proof: "t10k-labels-idx1-ubyte.gz", Most: 1 << 30,
		},
	}
}

// Names are the names of Sets.
func Names() []string {
	var names []string
	for _, set := range Sets() {
		names = append(names, set.Name)
	}
	return names
}
