package host

// Limits of the Functions host. Posthorn never sees a request that passes one: the
// host answers it with a status and no text. The host reads a body with a
// Content-Length into its own memory before it calls Posthorn. That costs two to four
// times the size. A chunked body is streamed.
const (
	// MaxRequestLineBytes is method, target and version. More is 414.
	MaxRequestLineBytes = 8192
	// MaxHeaderBytes is all headers, with their line ends. More is 431. A value that
	// is not ASCII is 400.
	MaxHeaderBytes = 32768
	// MaxHeaders is how many headers a request has. More is 431.
	MaxHeaders = 100
	// MaxRequestBodyBytes is a request's body where FUNCTIONS_REQUEST_BODY_SIZE_LIMIT, a
	// setting of the host, says nothing else. More is 500. Source:
	// ScriptConstants.DefaultMaxRequestBodySize.
	MaxRequestBodyBytes = 104857600
)
