// Alerts on platform metrics, which need no log.
param prefix string
param groupName string
param tags object
param serviceId string
param siteId string
param topicId string
@description('E-mail address for alerts and for the budget. Empty: only the portal shows alerts.')
param email string

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(email)) {
  name: groupName
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'posthorn'
    emailReceivers: [{ name: 'operator', emailAddress: email, useCommonAlertSchema: true }]
  }
}

var alerts = [
  {
    name: 'failed-deliveries'
    description: 'Too many messages fail at their recipients. Microsoft takes sending from subscriptions beyond 1 percent.'
    scope: serviceId
    namespace: 'Microsoft.Communication/CommunicationServices'
    metric: 'DeliveryStatusUpdate'
    dimensions: [{ name: 'Result', operator: 'Include', values: ['Failure'] }]
    threshold: 10
  }
  {
    name: 'too-many-requests'
    description: 'ACS answers 429: somebody else uses the quota of the subscription, or the setting is above the limit.'
    scope: serviceId
    namespace: 'Microsoft.Communication/CommunicationServices'
    metric: 'APIRequestEmail'
    dimensions: [{ name: 'StatusCode', operator: 'Include', values: ['429'] }]
    threshold: 0
  }
  {
    name: 'lost-reports'
    description: 'Delivery reports could not be put into their queue. They lie in the container of dead events.'
    scope: topicId
    namespace: 'Microsoft.EventGrid/systemTopics'
    metric: 'DeadLetteredCount'
    dimensions: []
    threshold: 0
  }
  {
    name: 'answers-5xx'
    description: 'The gateway answers with errors of its own, or of storage or ACS.'
    scope: siteId
    namespace: 'Microsoft.Web/sites'
    metric: 'Http5xx'
    dimensions: []
    threshold: 20
  }
]

resource rules 'Microsoft.Insights/metricAlerts@2018-03-01' = [
  for alert in alerts: {
    name: '${prefix}-${alert.name}'
    location: 'global'
    tags: tags
    properties: {
      description: alert.description
      enabled: true
      severity: 2
      scopes: [alert.scope]
      evaluationFrequency: 'PT15M'
      windowSize: 'PT1H'
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: alert.name
            metricNamespace: alert.namespace
            metricName: alert.metric
            dimensions: alert.dimensions
            operator: 'GreaterThan'
            threshold: alert.threshold
            timeAggregation: 'Total'
            skipMetricValidation: true
          }
        ]
      }
      actions: empty(email) ? [] : [{ actionGroupId: people.id }]
    }
  }
]
