const answer = await fetch("/graphql?query={hello}");
document.getElementById("app").textContent = (await answer.json()).data.hello;
