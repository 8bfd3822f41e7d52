// As much of React and GraphiQL as the page of the library calls: it asks once, and shows what it was told.
window.Cookies = { get: () => undefined };
window.React = { createElement: (kind, given) => ({ kind, given }), useState: (value) => [value, () => {}] };
window.ReactDOM = {
  createRoot: (at) => ({
    render: ({ kind }) => {
      const { given } = kind();
      given.fetcher({ query: "{ hello }" }).then((told) => { at.textContent = told.data.hello; });
    },
  }),
};
window.GraphiQLPluginExplorer = { explorerPlugin: () => ({}) };
window.GraphiQL = {
  createFetcher: ({ url }) => async (asked) => (await fetch(url, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(asked),
  })).json(),
};
