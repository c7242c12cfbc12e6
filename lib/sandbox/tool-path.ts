/** Where bubblewrap, nsenter and the rest are looked for: never the search path of whoever started the server. */
export const toolPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
