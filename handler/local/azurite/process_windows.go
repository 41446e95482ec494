package azurite

import (
	"os"
	"syscall"
)

// terminate kills: Windows has no gentler signal for a process without a window.
var terminate = os.Kill

func processAttributes() *syscall.SysProcAttr { return nil }
