// What an operator may have changed since the last deployment, read before it is written again.
param serviceName string
@description('Name of the Email Service. It must exist.')
param emailServiceName string

@nullIfNotFound()
resource service 'Microsoft.Communication/communicationServices@2026-03-18' existing = {
  name: serviceName
}

resource email 'Microsoft.Communication/emailServices@2026-03-18' existing = {
  name: emailServiceName

  @nullIfNotFound()
  resource managed 'domains' existing = { name: 'AzureManagedDomain' }
}

output linkedDomains array = service.?properties.?linkedDomains ?? []
output engagementTracking string = email::managed.?properties.?userEngagementTracking ?? 'Disabled'
