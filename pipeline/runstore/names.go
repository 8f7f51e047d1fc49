package runstore

import "strings"

// The files of a run directory.
const (
	FileConfig  = "config.yaml" // the resolved config
	FileEvents  = "events.jsonl"
	FileNeurons = "neurons.csv"
	FileResult  = "result.json"
	FileCleaned = "cleaned.pt"
	FileReport  = "report.html"
	FileLock    = "run.lock"
)

// leftovers are what a run that is started anew removes: nothing that we did
// not write ourselves, and never the lock, which is our own by then.
func leftovers() []string {
	return []string{FileConfig, FileEvents, FileNeurons, FileCleaned, FileReport}
}

// isLeftoverTemp says whether name is the temporary file of a killed write of
// one of our files.
func isLeftoverTemp(name string) bool {
	if !strings.HasSuffix(name, tempSuffix) {
		return false
	}
	for _, file := range append(leftovers(), FileResult, FileLock) {
		if strings.HasPrefix(name, tempPrefix(file)) {
			return true
		}
	}
	return false
}
