package settings

// Profile is one choice of memory: what an instance gets, how many requests it takes at once,
// and how large these may be. They go together, since the Functions host reads a body whole
// before it calls the handler. infra/memory.json, the defaults of the settings, host.json and
// docs/limits.md are held against this table.
type Profile struct {
	Name           string `json:"-"`
	InstanceMB     int    `json:"instanceMB"`     // of the Flex Consumption plan
	RequestsAtOnce int    `json:"requestsAtOnce"` // by HTTP, for one instance
	HostBodyBytes  int64  `json:"hostBodyBytes"`  // the largest body that the host takes
	BodyBytes      int64  `json:"bodyBytes"`      // the largest that the handler takes: POSTHORN_MAX_REQUEST_BYTES
	HandlerMB      int    `json:"handlerMB"`      // MiB for the handler's process: POSTHORN_MEMORY_MB
}

// Profiles are all choices. The first is the default.
func Profiles() []Profile {
	return []Profile{
		{"standard", 2048, 8, 44040192, 42991616, 320}, // a file of 30 MiB, in Base64
		{"small-bodies", 2048, 16, 18874368, 16777216, 320},
		{"small", 512, 4, 5767168, 4194304, 140},
		{"large-bodies", 4096, 7, 104923136, 104857600, 256},
	}
}
