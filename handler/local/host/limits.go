package host

// Limits of the Functions host, which Posthorn never sees. The host answers what
// passes one of them with a status and no text. It also reads a body with a
// Content-Length whole into its own memory, two to four times the size, before
// Posthorn is called; a chunked body is streamed.
const (
	// MaxRequestLineBytes is method, target and version. More is 414.
	MaxRequestLineBytes = 8192
	// MaxHeaderBytes is all headers, with their line ends. More is 431. A value that
	// is not ASCII is 400.
	MaxHeaderBytes = 32768
	// MaxHeaders is how many headers a request has. More is 431.
	MaxHeaders = 100
	// MaxRequestBodyBytes is a request's body. More is 500. The setting
	// FUNCTIONS_REQUEST_BODY_SIZE_LIMIT raises it; above POSTHORN_MAX_REQUEST_BYTES,
	// the answer is Posthorn's 413. A larger file goes by `POST /attachments`,
	// straight to Blob Storage. Source: ScriptConstants.DefaultMaxRequestBodySize.
	MaxRequestBodyBytes = 104857600
)
