// To try it: cheap, and gone without a trace when its group is deleted.
using 'main.bicep'

param dataLocation = 'Europe'
param memory = 'small'
