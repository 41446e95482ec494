// Asks App Service's endpoint for a token, as the credential of that name does.
// Source: learn.microsoft.com, "How to use managed identities for App Service and
// Azure Functions", REST endpoint reference.
export class ManagedIdentityCredential {
  async getToken(scope) {
    const url = new URL(process.env.IDENTITY_ENDPOINT);
    url.searchParams.set("api-version", "2019-08-01");
    url.searchParams.set("resource", scope.replace(/\/\.default$/, ""));
    const answer = await fetch(url, { headers: { "X-IDENTITY-HEADER": process.env.IDENTITY_HEADER } });
    const { access_token: token, expires_on: seconds } = await answer.json();
    return { token, expiresOnTimestamp: seconds * 1000 };
  }
}
