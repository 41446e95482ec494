// The settings of the site. A PUT replaces all of them, so those that are set now are given
// here: what an operator has set stays. Secure parameters are not kept in the history of deployments.
param siteName string
@secure()
@description('What is set now.')
param present object
@description('What a first deployment begins with. What is set now counts more.')
param first object
@secure()
@description('What follows from the resources and the parameters of this deployment. It counts more than what is set now.')
param own object
@secure()
@description('What the operator gives to this deployment. It counts most.')
param given object

resource site 'Microsoft.Web/sites@2024-11-01' existing = {
  name: siteName
}

// The settings of Posthorn and of OpenTelemetry stay. Azure itself adds others at times, empty
// ones too, on which the host then fails: github.com/Azure/azure-functions-host issue 11796.
var kept = toObject(
  filter(items(present), one => startsWith(one.key, 'POSTHORN_') || startsWith(one.key, 'OTEL_')),
  one => one.key,
  one => one.value
)

resource all 'Microsoft.Web/sites/config@2024-11-01' = {
  parent: site
  name: 'appsettings'
  properties: union(first, kept, own, given)
}
