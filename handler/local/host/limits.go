package host

// Limits of the Functions host. Posthorn never sees a request that passes one: the
// host answers it with a status and no text. The host reads a body with a
// Content-Length into its own memory before it calls Posthorn. That costs two to four
// times the size. A chunked body is streamed.
const (
	// MaxRequestLineBytes is method, target and version. More is 414.
	MaxRequestLineBytes = 8192 // request line
	// MaxHeaderBytes is all headers, with their line ends. More is 431. A value that
	// is not ASCII is 400.
	MaxHeaderBytes = 32768 // headers together
	// MaxHeaders is how many headers a request has. More is 431.
	MaxHeaders = 100 // headers

	// Source: ScriptConstants.DefaultMaxRequestBodySize of the host.

	// MaxRequestBodyBytes is the default of the host's setting
	// `FUNCTIONS_REQUEST_BODY_SIZE_LIMIT`. More is 500.
	MaxRequestBodyBytes = 104857600 // body of a request
)
