// The settings of the site. A PUT replaces all of them, so those that are set now are given
// here: what an operator has set stays. Secure parameters are not kept in the history of deployments.
param siteName string
@secure()
@description('Current settings.')
param present object
@description('Settings of the first deployment. Current settings override them.')
param first object
@secure()
@description('Settings that follow from the resources and parameters of this deployment. They override the current settings.')
param own object
@secure()
@description('Settings that the operator gives to this deployment. They override all others.')
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
