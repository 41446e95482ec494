package host

// Limits of the Functions host, which Posthorn never sees: what passes one of them
// is answered without a body. Seen with the host 4.1037; Kestrel's defaults.
const (
	// MaxRequestLineBytes is method, target and version, with their line end. More
	// is 414.
	MaxRequestLineBytes = 8192
	// MaxHeaderBytes is all headers with their line ends. More is 431.
	MaxHeaderBytes = 32768
	// MaxHeaders is how many headers a request may have. More is 431.
	MaxHeaders = 100
	// MaxBodyBytes is the default of FUNCTIONS_REQUEST_BODY_SIZE_LIMIT. A larger body
	// is answered with 500. A file that does not fit goes by `POST /attachments`,
	// straight to Blob Storage. Source: ScriptConstants.DefaultMaxRequestBodySize.
	MaxBodyBytes = 104857600
)
