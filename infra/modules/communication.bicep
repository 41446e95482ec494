// The Communication Services resource, the Email Service, and the managed domain, linked at
// once. Mail can leave minutes after the deployment.
param name string
param emailServiceName string
param tags object
@description('Geography in which messages are kept. It cannot be changed later.')
param dataLocation string
@description('Resource ids of domains to link. Linked domains and the managed domain stay linked.')
param linkedDomains array
param principalId string
@description('Id of a role that may only send. Empty: the built-in Communication and Email Service Owner.')
param sendRoleId string

resource email 'Microsoft.Communication/emailServices@2026-03-18' = {
  name: emailServiceName
  location: 'global'
  tags: tags
  properties: { dataLocation: dataLocation }
}

// linkedDomains is a whole list: a domain that it leaves out is cut off at once, and mail from
// it stops. So what is linked now is read first.
module present 'present.bicep' = {
  params: { serviceName: name, emailServiceName: email.name }
}

resource managed 'Microsoft.Communication/emailServices/domains@2026-03-18' = {
  parent: email
  name: 'AzureManagedDomain'
  location: 'global'
  tags: tags
  properties: {
    domainManagement: 'AzureManaged'
    userEngagementTracking: present.outputs.engagementTracking
  }
}

resource service 'Microsoft.Communication/communicationServices@2026-03-18' = {
  name: name
  location: 'global'
  tags: tags
  properties: {
    dataLocation: dataLocation
    // The resource's access keys open all of it, and cannot be told apart. Posthorn sends with its identity.
    disableLocalAuth: true
    linkedDomains: union(present.outputs.linkedDomains, linkedDomains, [managed.id])
  }
}

// Communication and Email Service Owner: no built-in role may only send.
var owner = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '09976791-48a7-449e-bb21-39d1a415f350')

resource send 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: service
  name: guid(service.id, principalId, empty(sendRoleId) ? owner : sendRoleId)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: empty(sendRoleId) ? owner : sendRoleId
  }
}

output id string = service.id
output name string = service.name
output emailService string = email.name
output endpoint string = 'https://${service.properties.hostName}'
output sender string = 'donotreply@${managed.properties.fromSenderDomain}'
